"""The process that looks, decides and acts."""
