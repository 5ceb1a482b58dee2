variable "name" {
  description = "Beginning of the roles' names"
  type        = string
  default     = "cdc-s3"
}

variable "bucket" {
  description = "Bucket to make"
  type        = string
}

variable "prefix" {
  description = "Folder of the lake in it; store.url is s3://BUCKET/PREFIX"
  type        = string
}

variable "region" {
  description = "Region of the bucket"
  type        = string
}

variable "kms_key_arn" {
  description = "Key for encryption; empty for S3's own"
  type        = string
  default     = ""
}

variable "assume_role_policy" {
  description = "Who may take the roles, as JSON: an instance, a task of ECS, or an account of Kubernetes (IRSA)"
  type        = string
}

variable "secret_arns" {
  description = "Secrets of source.password_secret and target.password_secret"
  type        = list(string)
  default     = []
}
