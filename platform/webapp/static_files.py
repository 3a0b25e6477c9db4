"""Static files under names that carry their hash, so that browsers keep them for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):
    """Also rewrites the imports between our ES modules."""

    support_js_module_import_aggregation = True
    #: each pass settles one level of imports; Django's five are too few for the desk. A ring is refused all the same.
    max_post_process_passes = 12
