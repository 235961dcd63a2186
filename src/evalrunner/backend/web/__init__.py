"""The pages: what a person sees of the store in a browser. They read and never write."""

from evalrunner.backend.web.routes import OPEN, WAY_IN, routes
from evalrunner.backend.web.site import Site

__all__ = ["OPEN", "WAY_IN", "Site", "routes"]
