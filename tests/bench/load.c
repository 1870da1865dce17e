/* The load client of `make bench`: thousands of WebSocket viewers in one thread, each entry's number checked for each.

   load view HOST PORT PATH VIEWERS COUNT SECONDS [option value]...
       Opens the viewers, prints READY when all are in, and ends when each has the entries 1..COUNT, or after SECONDS.
       Prints one line of JSON. COUNT 0: only stay for SECONDS.
       tokens FILE     bearer tokens, one a line, used in turn
       hello TEXT      what a viewer sends first            ack 1          acknowledge as section 4 of the contract says
       stalled N       of the viewers read nothing          sio 1          speak Engine.IO 4 / Socket.IO
       skip N          entries are checked, and their times not measured
       drop SECONDS    after READY: all viewers disconnect at once, and come back with the id of the last entry they have
   load publish SOCKET KEY RATE COUNT
       Appends COUNT entries, RATE a second (0: as fast as Redis takes them), in ticks of a millisecond.
   load raw SOCKET KEY COUNT SECONDS
       XREAD BLOCK from the newest entry on: the floor under every design.

   Entries carry their number and the sender's monotonic clock: "n":"17","t":"123456789". */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}
static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}
static void die(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(2);
}

/* Latencies in microseconds, 32 buckets per doubling: 3 % resolution at any size. */
static uint64_t histogram[64 * 32], measured;
static int bucket(uint64_t us) {
  if (us < 32) return us;
  int high = 63 - __builtin_clzll(us);
  return (high - 4) * 32 + (int)((us >> (high - 5)) & 31);
}
static double quantile(double q) {
  uint64_t left = (uint64_t)(q * measured);
  for (int i = 0; i < 64 * 32; i++) {
    if (histogram[i] > left) return i < 32 ? i / 1000.0 : ((uint64_t)(32 + (i & 31)) << (i / 32 - 1)) / 1000.0;
    left -= histogram[i];
  }
  return -1;
}

enum { CONNECTING, UPGRADING, OPEN, GONE };
typedef struct {
  int fd, state, stalled, told, closed_with;
  long next, lost, doubled;
  uint64_t got;
  char last[48];
  size_t unacknowledged, shown;
  double unacknowledged_since;
  char *in;
  size_t have, room, scanned;
} Viewer;

static Viewer *viewers;
static int count_viewers, poller, acknowledges, socketio, stalled, open_count, closed_count;
static long wanted, finished, skipped;
static const char *host, *path, *hello = "";
static int port;
static char **tokens;
static int count_tokens;
static uint64_t bytes_in, messages_in, deliveries;
static double last_delivery;
static int resuming;

static void put_frame(Viewer *v, int opcode, const char *text, size_t size) {
  unsigned char frame[4096];
  size_t head = size < 126 ? 2 : 4;
  if (size + head + 4 > sizeof frame) return;
  frame[0] = 0x80 | opcode;
  if (size < 126) frame[1] = 0x80 | size;
  else { frame[1] = 0x80 | 126; frame[2] = size >> 8; frame[3] = size; }
  memset(frame + head, 0, 4); /* a mask of zeros masks nothing */
  memcpy(frame + head + 4, text, size);
  if (send(v->fd, frame, head + 4 + size, MSG_NOSIGNAL) < 0 && errno != EAGAIN) v->closed_with = -1;
}
static void say(Viewer *v, const char *format, ...) {
  char text[2048];
  va_list list;
  va_start(list, format);
  int size = vsnprintf(text, sizeof text, format, list);
  va_end(list);
  put_frame(v, 1, text, size);
}

static void start(Viewer *v) {
  v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (v->fd < 0) die("socket");
  int one = 1;
  setsockopt(v->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, host, &to.sin_addr);
  v->state = CONNECTING;
  v->have = v->scanned = 0;
  v->unacknowledged = 0;
  v->shown = rand() % 65536; /* as pages do: each acknowledges at moments of its own */
  v->told = 0;
  if (connect(v->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
  struct epoll_event event = {.events = EPOLLOUT | EPOLLIN, .data.ptr = v};
  epoll_ctl(poller, EPOLL_CTL_ADD, v->fd, &event);
}
static void gone(Viewer *v) {
  if (v->state == GONE) return;
  if (v->state == OPEN && v->told) open_count--;
  close(v->fd);
  v->state = GONE;
  closed_count++;
}
static void upgrade(Viewer *v) {
  char request[2048], token[512] = "";
  if (count_tokens) snprintf(token, sizeof token, "Authorization: Bearer %s\r\n", tokens[(v - viewers) % count_tokens]);
  int size = snprintf(request, sizeof request,
      "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", path, host, port, token);
  if (send(v->fd, request, size, MSG_NOSIGNAL) != size) die("upgrade");
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = v};
  epoll_ctl(poller, EPOLL_CTL_MOD, v->fd, &event);
  v->state = UPGRADING;
}
static void is_in(Viewer *v) {
  if (v->told) return;
  v->told = 1;
  open_count++;
  if (v->stalled) { /* reads nothing from now on */
    struct epoll_event event = {.events = 0, .data.ptr = v};
    epoll_ctl(poller, EPOLL_CTL_MOD, v->fd, &event);
  }
}
static void greet(Viewer *v) {
  if (resuming && v->last[0]) say(v, "{\"type\":\"subscribe\",\"after\":{\"bench\":\"%s\"},\"statuses\":true}", v->last);
  else if (*hello) put_frame(v, 1, hello, strlen(hello));
  else if (!socketio) is_in(v); /* nothing is to be answered */
}

static void entries(Viewer *v, const char *text, size_t size) {
  const char *at = text, *end = text + size;
  uint64_t moment = now_ns();
  while ((at = memmem(at, end - at, "\"n\":\"", 5))) {
    at += 5;
    long number = strtol(at, NULL, 10);
    const char *sent = memmem(at, end - at, "\"t\":\"", 5);
    if (!sent) break;
    uint64_t t = strtoull(sent + 5, NULL, 10);
    if (number == v->next) v->next++;
    else if (number > v->next) { v->lost += number - v->next; v->next = number + 1; }
    else { v->doubled++; continue; }
    v->got++;
    deliveries++;
    if (!resuming && number > skipped) { histogram[bucket((moment - t) / 1000)]++; measured++; }
    if (wanted && v->next == wanted + 1) finished++;
    last_delivery = moment / 1e9;
  }
  if (!acknowledges) return;
  const char *id = NULL, *next = text;
  while ((next = memmem(next, end - next, "\"id\":\"", 6))) { id = next + 6; next += 6 + 300 < end - next ? 300 : 6; }
  /* The last one is found from the end: frames are long and ids are few. */
  for (const char *back = end - 6; back > text; back--)
    if (*back == '"' && !memcmp(back, "\"id\":\"", 6)) { id = back + 6; break; }
  if (id) {
    size_t length = strcspn(id, "\"");
    if (length < sizeof v->last) { memcpy(v->last, id, length); v->last[length] = 0; }
    if (!v->unacknowledged) v->unacknowledged_since = now();
    v->unacknowledged += size;
    v->shown += size;
    if (v->shown >= 65536) {
      v->shown %= 65536;
      say(v, "{\"type\":\"ack\",\"last\":{\"bench\":\"%s\"}}", v->last);
      v->unacknowledged = 0;
    }
  }
}
static void message(Viewer *v, int opcode, char *text, size_t size) {
  messages_in++;
  if (opcode == 9) { put_frame(v, 10, text, size < 125 ? size : 125); return; }
  if (opcode == 8) { v->closed_with = size >= 2 ? ((unsigned char)text[0] << 8 | (unsigned char)text[1]) : 1005; return; }
  if (socketio) {
    if (text[0] == '0') { put_frame(v, 1, "40", 2); return; }
    if (text[0] == '2') { put_frame(v, 1, "3", 1); return; }
    if (size > 1 && text[0] == '4' && text[1] == '0') { is_in(v); return; }
    entries(v, text, size);
    return;
  }
  is_in(v);
  if (acknowledges && (size < 20 || memcmp(text, "{\"type\":\"entries\"", 17))) {
    char *upto = size > 40 && !memcmp(text, "{\"type\":\"statuses\"", 18) ? memmem(text, 60, "\"upto\":", 7) : NULL;
    if (upto && size > 30000) say(v, "{\"type\":\"ack\",\"last\":{},\"statuses\":%ld}", strtol(upto + 7, NULL, 10));
    return;
  }
  entries(v, text, size);
}
static void take(Viewer *v) {
  for (;;) {
    if (v->room - v->have < 65536) {
      v->room = v->room ? v->room * 2 : 131072;
      v->in = realloc(v->in, v->room);
      if (!v->in) die("memory");
    }
    ssize_t got = recv(v->fd, v->in + v->have, v->room - v->have, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (got <= 0) { gone(v); return; }
    v->have += got;
    bytes_in += got;
    size_t at = 0;
    if (v->state == UPGRADING) {
      char *end = memmem(v->in, v->have, "\r\n\r\n", 4);
      if (!end) continue;
      if (memcmp(v->in + 9, "101", 3)) { fprintf(stderr, "load: refused: %.60s\n", v->in); gone(v); return; }
      at = end + 4 - v->in;
      v->state = OPEN;
      greet(v);
    }
    while (v->have - at >= 2) {
      unsigned char *f = (unsigned char *)v->in + at;
      size_t head = 2, size = f[1] & 127;
      if (size == 126) { head = 4; if (v->have - at < 4) break; size = f[2] << 8 | f[3]; }
      else if (size == 127) {
        head = 10;
        if (v->have - at < 10) break;
        size = 0;
        for (int i = 2; i < 10; i++) size = size << 8 | f[i];
      }
      if (v->have - at < head + size) break;
      message(v, f[0] & 15, v->in + at + head, size);
      at += head + size;
    }
    if (at) { memmove(v->in, v->in + at, v->have - at); v->have -= at; }
    if (v->have == 0 && v->room > 131072) { free(v->in); v->in = NULL; v->room = 0; }
    if (v->stalled && v->told) return;
    if ((size_t)got < 65536) break;
  }
}

static int view(int argc, char **argv) {
  host = argv[2]; port = atoi(argv[3]); path = argv[4];
  count_viewers = atoi(argv[5]);
  wanted = atol(argv[6]);
  double seconds = atof(argv[7]), drop = 0;
  for (int i = 8; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "hello")) hello = argv[i + 1];
    if (!strcmp(argv[i], "ack")) acknowledges = atoi(argv[i + 1]);
    if (!strcmp(argv[i], "sio")) socketio = atoi(argv[i + 1]);
    if (!strcmp(argv[i], "stalled")) stalled = atoi(argv[i + 1]);
    if (!strcmp(argv[i], "skip")) skipped = atol(argv[i + 1]);
    if (!strcmp(argv[i], "drop")) drop = atof(argv[i + 1]);
    if (!strcmp(argv[i], "tokens")) {
      FILE *file = fopen(argv[i + 1], "r");
      char line[512];
      if (!file) die(argv[i + 1]);
      while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        tokens = realloc(tokens, sizeof *tokens * (count_tokens + 1));
        tokens[count_tokens++] = strdup(line);
      }
      fclose(file);
    }
  }
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  poller = epoll_create1(0);
  viewers = calloc(count_viewers, sizeof *viewers);
  double began = now(), ready = 0, dropped = 0, back = 0, ends = now() + 120, looked = now();
  int started = 0;
  struct epoll_event events[1024];
  for (;;) {
    double moment = now();
    /* At most 100 handshakes under way: a listen queue is not what is measured. After a drop there is no such mercy. */
    while (started < count_viewers && started - open_count - closed_count < (resuming ? 1 << 30 : 100)) {
      Viewer *v = viewers + started++;
      if (!resuming) { v->next = 1; v->stalled = (v - viewers) < stalled; }
      start(v);
    }
    int ready_now = epoll_wait(poller, events, 1024, 20);
    for (int i = 0; i < ready_now; i++) {
      Viewer *v = events[i].data.ptr;
      if (v->state == GONE) continue;
      if (v->state == CONNECTING) {
        if (events[i].events & (EPOLLERR | EPOLLHUP)) { gone(v); continue; }
        upgrade(v);
      } else if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) take(v);
    }
    moment = now();
    if (!ready && open_count + closed_count == count_viewers) {
      ready = moment;
      ends = ready + seconds;
      printf("READY %d %.3f\n", open_count, ready - began);
      fflush(stdout);
    }
    if (ready && drop && !dropped && moment > ready + drop) {
      for (int i = 0; i < count_viewers; i++)
        if (!viewers[i].stalled) { gone(viewers + i); }
      dropped = now();
      resuming = 1;
      started = 0;
      open_count = closed_count = 0;
    }
    if (dropped && !back && open_count == count_viewers) back = moment;
    if (moment - looked > 0.02 && acknowledges) {
      looked = moment;
      for (int i = 0; i < count_viewers; i++) {
        Viewer *v = viewers + i;
        /* As pages do: half a second to one and a half after the first, each at its own time. */
        double patience = 0.5 + i * 37 % 101 / 101.0;
        if (v->state == OPEN && v->unacknowledged && !v->stalled && moment - v->unacknowledged_since > patience) {
          say(v, "{\"type\":\"ack\",\"last\":{\"bench\":\"%s\"}}", v->last);
          v->unacknowledged = 0;
        }
      }
    }
    if (wanted && finished >= count_viewers - stalled && (!drop || back)) break;
    if (moment > ends) break;
  }
  long lost = 0, doubled = 0;
  for (int i = 0; i < count_viewers; i++) {
    Viewer *v = viewers + i;
    if (v->stalled) continue;
    lost += v->lost + (wanted ? wanted + 1 - v->next : 0);
    doubled += v->doubled;
  }
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  printf("{\"viewers\":%d,\"open\":%d,\"closed\":%d,\"deliveries\":%lu,\"lost\":%ld,\"doubled\":%ld,\"finished\":%ld,"
         "\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f,\"bytes\":%lu,\"messages\":%lu,\"ended\":%.6f,\"connect\":%.3f,"
         "\"back\":%.3f,\"client_cpu\":%.3f}\n",
         count_viewers, open_count, closed_count, deliveries, lost, doubled, finished, quantile(0.5), quantile(0.99),
         quantile(0.99999), bytes_in, messages_in, last_delivery, ready - began, back ? back - dropped : 0,
         used.ru_utime.tv_sec + used.ru_utime.tv_usec / 1e6 + used.ru_stime.tv_sec + used.ru_stime.tv_usec / 1e6);
  return 0;
}

static int redis_at(const char *file) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  strncpy(to.sun_path, file, sizeof to.sun_path - 1);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die(file);
  return fd;
}
static void put_all(int fd, const char *text, size_t size) {
  while (size) {
    ssize_t sent = write(fd, text, size);
    if (sent < 0) die("write to Redis");
    text += sent;
    size -= sent;
  }
}
static size_t bulk(char *to, const char *text) { return sprintf(to, "$%zu\r\n%s\r\n", strlen(text), text); }

static int publish(char **argv) {
  int fd = redis_at(argv[2]);
  double rate = atof(argv[4]), began = now();
  long count = atol(argv[5]), sent = 0, answered = 0;
  static char out[1 << 20], in[65536];
  while (answered < count) {
    long due = rate ? (long)((now() - began) * rate) + 1 : answered + 1000;
    if (due > count) due = count;
    size_t size = 0;
    while (sent < due && size < sizeof out - 2048) {
      char number[32], moment[32];
      sprintf(number, "%ld", ++sent);
      sprintf(moment, "%lu", now_ns());
      size += sprintf(out + size, "*23\r\n$4\r\nXADD\r\n");
      size += bulk(out + size, argv[3]);
      const char *parts[] = {"*", "event", "error", "timestamp", "2026-11-22T14:31:38.907Z", "error",
          "order book of BTC-USD is out of sequence: expected 48151623, got 48151642; asking for a snapshot",
          "exchangeId", "7", "exchangeName", "bench", "hostname", "trader-07.example.org", "ip", "203.0.113.17",
          "state", "active", "n", number, "t", moment};
      for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) size += bulk(out + size, parts[i]);
    }
    if (size) put_all(fd, out, size);
    while (answered < sent) { /* an answer is $15\r\n1763830000000-0\r\n: two lines */
      static int lines;
      ssize_t got = read(fd, in, sizeof in);
      if (got <= 0) die("read from Redis");
      for (ssize_t i = 0; i < got; i++) {
        if (in[i] == '-' && lines % 2 == 0 && (i == 0 || in[i - 1] == '\n')) { fprintf(stderr, "%.80s\n", in + i); exit(2); }
        if (in[i] == '\n' && ++lines % 2 == 0) answered++;
      }
    }
    if (rate && sent < count) {
      double wait = began + sent / rate - now();
      if (wait < 0.001) wait = 0.001;
      usleep(wait * 1e6);
    }
  }
  printf("{\"count\":%ld,\"seconds\":%.6f,\"ended\":%.6f}\n", count, now() - began, now());
  return 0;
}

static int raw(char **argv) {
  int fd = redis_at(argv[2]);
  long expected = 1, lost = 0, count = atol(argv[4]);
  double ends = now() + atof(argv[5]);
  char cursor[64] = "0-0", command[256];
  static char in[1 << 22];
  printf("READY 1 0\n");
  fflush(stdout);
  while (expected <= count && now() < ends) {
    size_t size = sprintf(command, "*7\r\n$5\r\nXREAD\r\n$5\r\nCOUNT\r\n$3\r\n512\r\n$5\r\nBLOCK\r\n$4\r\n1000\r\n$7\r\nSTREAMS\r\n");
    /* STREAMS takes a key and an id: eight parts in all. */
    command[1] = '8';
    size += bulk(command + size, argv[3]);
    size += bulk(command + size, cursor);
    put_all(fd, command, size);
    size_t have = 0;
    for (;;) { /* an answer is whole when the line protocol is at rest: what comes together is read together */
      ssize_t got = read(fd, in + have, sizeof in - have - 1);
      if (got <= 0) die("read from Redis");
      have += got;
      in[have] = 0;
      if (have < 5 || in[have - 1] != '\n') continue;
      if (!memcmp(in, "*-1", 3)) break;
      char *t = memrchr(in, '$', have);
      if (t && t > in + 16 && !memcmp(t - 7, "$1\r\nt\r\n", 7)) break;
    }
    uint64_t moment = now_ns();
    char *at = in;
    while ((at = strstr(at, "\r\nn\r\n$"))) {
      at = strstr(at + 6, "\r\n") + 2;
      long number = strtol(at, NULL, 10);
      char *t = strstr(at, "\r\nt\r\n$");
      if (!t) break;
      t = strstr(t + 6, "\r\n") + 2;
      if (number != expected) lost++;
      expected = number + 1;
      histogram[bucket((moment - strtoull(t, NULL, 10)) / 1000)]++;
      measured++;
    }
    /* The last id: the bulk string before the last array of fields. */
    char *id = NULL, *look = in;
    while ((look = strstr(look, "*2\r\n$"))) { id = strstr(look + 5, "\r\n") + 2; look += 5; }
    if (id && measured) { size_t length = strcspn(id, "\r"); if (length < 40 && memchr(id, '-', length)) { memcpy(cursor, id, length); cursor[length] = 0; } }
  }
  printf("{\"viewers\":1,\"deliveries\":%ld,\"lost\":%ld,\"doubled\":0,\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f,\"ended\":%.6f}\n",
         (long)measured, lost, quantile(0.5), quantile(0.99), quantile(0.99999), now());
  return 0;
}

int main(int argc, char **argv) {
  if (argc >= 8 && !strcmp(argv[1], "view")) return view(argc, argv);
  if (argc == 6 && !strcmp(argv[1], "publish")) return publish(argv);
  if (argc == 6 && !strcmp(argv[1], "raw")) return raw(argv);
  fprintf(stderr, "usage: load view|publish|raw ... (see load.c)\n");
  return 2;
}
