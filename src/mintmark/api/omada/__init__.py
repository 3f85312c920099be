"""The Omada Open API over the administrator's verbs: the vendor's paths, envelope, paging, codes, and batch call."""
