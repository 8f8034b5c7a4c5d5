"""The studio: a page on this machine where masks are drawn and moved, and videos generated from them."""
