// A program with MongoDB's driver for Go, which has no AWS SDK: it asks for credentials
// itself.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

const url = "mongodb://127.0.0.1:27017/?authMechanism=MONGODB-AWS&authSource=%24external"

func main() {
	questions := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for questions.Scan() {
		answer, err := reply(questions.Text())
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		answers.Encode(answer)
	}
}

func reply(question string) (map[string]string, error) {
	if question == "hello" {
		return map[string]string{}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client, err := mongo.Connect(ctx, options.Client().ApplyURI(url))
	if err != nil {
		return nil, err
	}
	defer client.Disconnect(ctx)
	var status struct{ User, Key string }
	if err := client.Database("admin").RunCommand(ctx, bson.D{{"connectionStatus", 1}}).Decode(&status); err != nil {
		return nil, err
	}
	switch {
	case question == "key":
		return map[string]string{"key": status.Key}, nil
	case status.User == "":
		return nil, errors.New("STS refuses the credentials")
	}
	return map[string]string{"arn": status.User}, nil
}
