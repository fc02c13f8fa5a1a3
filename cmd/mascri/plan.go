package main

import (
	"context"
	"errors"
	"io"
)

func plan(context.Context, []string, io.Writer) error { return errors.New("soon") }
