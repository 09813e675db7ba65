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
			name: "west of Greenwich",
			change: func(c *aws.Credentials) {
				c.Expires = time.Date(2030, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))
			},
			want: `{"RoleArn":"arn:aws:iam::111122223333:role/app","AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"secret/+key",` +
				`"Token":"session/+token==","Expiration":"2031-01-01T00:59:59Z"}`,
		},
		{
			name:   "empty fields are rendered",
			change: func(c *aws.Credentials) { *c = aws.Credentials{} },
			want: `{"RoleArn":"arn:aws:iam::111122223333:role/app","AccessKeyId":"","SecretAccessKey":"",` +
				`"Token":"","Expiration":"0001-01-01T00:00:00Z"}`,
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
