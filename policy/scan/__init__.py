"""What an outside scanner says of a stack: its state as a Terraform plan, judged by Checkov."""
