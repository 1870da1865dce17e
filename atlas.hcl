// Atlas makes a Postgres database equal to schema.sql, a new one as well as an older one. The commands, run beside this
// file with DATABASE_URL set as for Perseus itself:
//
//   atlas schema apply --env postgres --dry-run      the statements, without running them; none: nothing has drifted
//   atlas schema apply --env postgres                the same, run after a confirmation
//   python manage.py prepare                         after each: the permissions that the models name
//
// Use Atlas' standard build (`atlas version` says which): the community build does not know deferrable foreign keys,
// leaves them out, and Perseus then refuses the database, naming them. A new, empty database can also be made
// without Atlas:
//
//   PGSSLMODE=verify-full PGSSLROOTCERT=AUTHORITIES.pem \
//       psql "$DATABASE_URL" -v ON_ERROR_STOP=1 --single-transaction -f schema.sql
//
// Atlas plans in a scratch database, of which it needs an empty one of the same major version. By default it starts a
// container; where no container runs, name one: --var dev_url="postgres://…/scratch?search_path=public"

variable "dev_url" {
  type        = string
  default     = "docker://postgres/15/dev?search_path=public"
  description = "An empty scratch database"
}

locals {
  // One schema is managed, so that statements name no schema, as in schema.sql. TLS with a verified host name, always:
  // what Perseus itself hard-codes.
  verified = urlqueryset(urlqueryset(getenv("DATABASE_URL"), "search_path", "public"), "sslmode", "verify-full")
  // Unset, the system's authorities are trusted.
  authorities = getenv("PERSEUS_DATABASE_CA")
}

env "postgres" {
  src = "file://schema.sql"
  dev = var.dev_url
  url = local.authorities == "" ? local.verified : urlqueryset(local.verified, "sslrootcert", local.authorities)
}
