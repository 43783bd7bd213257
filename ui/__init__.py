"""The page: one module a page. A page draws; it computes nothing."""
