output "role_arns" {
  description = "Roles by command"
  value       = { for name, role in aws_iam_role.cdc_s3 : name => role.arn }
}

output "store_url" {
  value = "s3://${var.bucket}/${var.prefix}"
}
