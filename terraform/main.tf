# Where a Databricks workspace keeps lakeloom's tables and files. Names match conf/lakehouse/databricks.yaml.

terraform {
  required_version = ">= 1.9"
  required_providers {
    databricks = {
      source  = "databricks/databricks"
      version = "~> 1.90"
    }
  }
}

resource "databricks_catalog" "lakeloom" {
  name    = var.catalog
  comment = "Crawled pages, curated documents, datasets and scores"
}

resource "databricks_schema" "layer" {
  for_each     = var.schemas
  catalog_name = databricks_catalog.lakeloom.name
  name         = each.key
  comment      = each.value
}

resource "databricks_volume" "files" {
  catalog_name = databricks_catalog.lakeloom.name
  schema_name  = databricks_schema.layer["ops"].name
  name         = "files"
  volume_type  = "MANAGED"
  comment      = "Pools, shards, models and reports: lakehouse.root"
}
