terraform {
  backend "s3" {
    bucket           = "bucket"
    key              = "state"
    region           = "eu-west-1"
    endpoint         = "http://127.0.0.1:5000"
    force_path_style = true
  }
}

output "answer" {
  value = 42
}
