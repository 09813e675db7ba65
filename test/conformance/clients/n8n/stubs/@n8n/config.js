exports.SecurityConfig = class { awsSystemCredentialsAccess = true; };
