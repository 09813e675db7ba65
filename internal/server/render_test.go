package server

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestContainerCredentials(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*aws.Credentials)
		want   string
	}{
		{
			name:   "unchanged",
			change: func(*aws.Credentials) {},
			want:   golden,
		},
		{
			name:   "account taken from the role",
			change: func(c *aws.Credentials) { c.AccountID = "" },
			want: `{"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"secret/+key","Token":"session/+token==",` +
				`"Expiration":"2031-05-06T07:08:09Z","AccountId":"111122223333","RoleArn":"arn:aws:iam::111122223333:role/app"}`,
		},
		{
			name: "west of Greenwich",
			change: func(c *aws.Credentials) {
				c.Expires = time.Date(2030, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))
			},
			want: `{"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"secret/+key","Token":"session/+token==",` +
				`"Expiration":"2031-01-01T00:59:59Z","AccountId":"444455556666","RoleArn":"arn:aws:iam::111122223333:role/app"}`,
		},
		{
			name:   "empty fields are rendered",
			change: func(c *aws.Credentials) { *c = aws.Credentials{} },
			want: `{"AccessKeyId":"","SecretAccessKey":"","Token":"",` +
				`"Expiration":"0001-01-01T00:00:00Z","AccountId":"111122223333","RoleArn":"arn:aws:iam::111122223333:role/app"}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := sample()
			tt.change(&c)
			if got := string(ContainerCredentials(testRole)(c)); got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}
