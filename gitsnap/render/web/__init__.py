"""The pages of ``gitsnap web``, over the templates of the report. Nothing here reads an archive."""

from gitsnap.render.web.renderer import USER_MARK, render_page, static_files

__all__ = ["USER_MARK", "render_page", "static_files"]
