"""Administration in the chat: ``admin_router``, whose commands and buttons are there for admins alone.

``gate.py`` says who is one, ``commands.py`` what they write, ``desk.py`` what is done then, ``deeds.py`` what has to be
confirmed first, ``pages.py`` and ``figures.py`` what they read, ``buttons.py`` what they tap.
"""

from aiogram_neonpay.storefront.admin.desk import admin_router

__all__ = ["admin_router"]
