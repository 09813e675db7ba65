module client

go 1.24

require (
	github.com/aws/aws-sdk-go v1.16.26 // indirect
	github.com/awslabs/amazon-ecr-credential-helper v0.3.1 // indirect
	github.com/docker/docker-credential-helpers v0.9.13 // indirect
	github.com/go-ini/ini v1.25.4 // indirect
	github.com/jmespath/go-jmespath v0.0.0-20180206201540-c2b33e8439af // indirect
	github.com/mitchellh/go-homedir v1.1.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/sirupsen/logrus v1.10.2 // indirect
	golang.org/x/sys v0.20.0 // indirect
)
