output "function_name" {
  description = "The function"
  value       = aws_lambda_function.backup.function_name
}

output "log_group" {
  description = "Where it logs; the last line of each run is its report"
  value       = aws_cloudwatch_log_group.backup.name
}

output "dead_letter_queue" {
  description = "Runs that failed for good"
  value       = aws_sqs_queue.dead_letters.url
}

output "journal_bucket" {
  description = "What long copies and histories are remembered by"
  value       = aws_s3_bucket.journal.bucket
}

output "dry_run" {
  description = "Shows what a run of the first plan would copy and delete, and changes nothing"
  # A synchronous call may take as long as the function's time-out, and the AWS CLI gives up after 60 s unless told.
  value = "aws lambda invoke --function-name ${aws_lambda_function.backup.function_name} --cli-read-timeout 910 --cli-binary-format raw-in-base64-out --payload '{\"action\":\"backup\",\"plan\":\"${sort(keys(var.plans))[0]}\",\"dry_run\":true}' /dev/stdout"
}
