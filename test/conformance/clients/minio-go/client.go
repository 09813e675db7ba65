// A program with MinIO's client for Go, which has no AWS SDK: it asks for credentials
// itself.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

func main() {
	client, err := minio.New("127.0.0.1:5000", &minio.Options{Creds: credentials.NewIAM(""), Region: os.Getenv("AWS_REGION"), MaxRetries: 2})
	if err != nil {
		panic(err)
	}
	questions := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for questions.Scan() {
		answer := map[string]string{}
		if questions.Text() == "work" {
			if err := work(client); err != nil {
				answer["error"] = err.Error()
			}
		}
		answers.Encode(answer)
	}
}

func work(client *minio.Client) error {
	ctx := context.Background()
	up := make([]byte, 1_000_000)
	rand.Read(up)
	if _, err := client.PutObject(ctx, "bucket", "key", bytes.NewReader(up), int64(len(up)), minio.PutObjectOptions{}); err != nil {
		return err
	}
	object, err := client.GetObject(ctx, "bucket", "key", minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer object.Close()
	down, err := io.ReadAll(object)
	if err == nil && !bytes.Equal(down, up) {
		err = errors.New("the object differs")
	}
	return err
}
