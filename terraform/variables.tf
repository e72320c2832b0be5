variable "catalog" {
  description = "Unity Catalog that holds all of lakeloom's schemas"
  type        = string
  default     = "lakeloom"
}

variable "schemas" {
  description = "The table layers of lakehouse/tables.py"
  type        = map(string)
  default = {
    bronze = "Pages as crawled, and records that gave none"
    silver = "Documents of a recipe, signatures and clusters of duplicates, evaluation items found in them"
    gold   = "Datasets, shards and scores"
    ops    = "Funnels, and the volume for files"
  }
}
