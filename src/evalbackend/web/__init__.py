"""The pages: what a person sees of the store in a browser. They read and never write."""

from evalbackend.web.routes import OPEN, WAY_IN, routes
from evalbackend.web.site import Site

__all__ = ["OPEN", "WAY_IN", "Site", "routes"]
