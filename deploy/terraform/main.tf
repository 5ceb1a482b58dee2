# A bucket for the lake, and three roles for cdc-s3: run, merge and check.
#
# The tests parse this module and evaluate its policies; it was not applied:
# read a plan before you apply it.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

locals {
  policies = toset(["run", "merge", "check"])
  suffix   = var.kms_key_arn == "" ? "" : "-kms"
  # The policies are those that the tests try; names are put in here.  Marks
  # first: a bucket or a folder may have the name of the example in its own.
  marked = {
    for name in setunion(local.policies, ["bucket"]) : name => replace(replace(
      file(name == "bucket" ? "${path.module}/../aws/bucket-policy.json" :
      "${path.module}/../aws/iam-${name}${local.suffix}.json"),
      "my-bucket", "@bucket@"),
      "shop/", "@prefix@/"
    )
  }
  policy = {
    for name, text in local.marked : name => replace(replace(replace(replace(text,
      "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000000",
      var.kms_key_arn),
      "s3.eu-central-1.amazonaws.com", "s3.${var.region}.amazonaws.com"),
      "@bucket@", var.bucket),
      "@prefix@", var.prefix
    )
  }
}

resource "aws_s3_bucket" "lake" {
  bucket = var.bucket
}

resource "aws_s3_bucket_public_access_block" "lake" {
  bucket                  = aws_s3_bucket.lake.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == "" ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn == "" ? null : var.kms_key_arn
    }
  }
}

# What a writer that died has left, should it never come back.
resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id
  rule {
    id     = "abandoned-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_policy" "lake" {
  bucket = aws_s3_bucket.lake.id
  policy = local.policy["bucket"]
}

resource "aws_iam_role" "cdc_s3" {
  for_each           = local.policies
  name               = "${var.name}-${each.key}"
  assume_role_policy = var.assume_role_policy
}

resource "aws_iam_role_policy" "lake" {
  for_each = local.policies
  name     = "lake"
  role     = aws_iam_role.cdc_s3[each.key].id
  policy   = local.policy[each.key]
}

resource "aws_iam_role_policy" "passwords" {
  for_each = length(var.secret_arns) == 0 ? toset([]) : local.policies
  name     = "passwords"
  role     = aws_iam_role.cdc_s3[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ReadPasswords"
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = var.secret_arns
    }]
  })
}
