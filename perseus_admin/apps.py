"""The Django admin with the site's own sign-in."""

from django.contrib.admin.apps import AdminConfig


class PerseusAdminConfig(AdminConfig):
    """Takes the place of `django.contrib.admin`."""

    default_site = "perseus_admin.admin_site.PerseusAdminSite"
