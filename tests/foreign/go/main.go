// Asks for a token with golang.org/x/oauth2/clientcredentials, left to find out by itself how to authenticate.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	config := clientcredentials.Config{
		TokenURL:     os.Args[1],
		ClientID:     os.Args[2],
		ClientSecret: os.Args[3],
		Scopes:       os.Args[4:],
	}
	token, err := config.Token(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"access_token": token.AccessToken,
		"token_type":   token.Type(),
		"valid":        token.Valid(),
		"scope":        token.Extra("scope"),
	})
}
