"""Read-only pages of archives over HTTP. The only package that imports starlette and uvicorn.

``guard`` decides which requests are answered. ``work`` limits the work that requests cause. The views (the modules
``…_pages``) read the archives, and ``gitsnap.render.web`` renders the pages. No request changes anything.
"""
