// Submits a durable job, follows it, and fetches its picture. Standard library only.
//
//	FRAMEGRID_URL=http://127.0.0.1:9935 FRAMEGRID_API_KEY=... go run job.go "a red circle" circle.png
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

type job struct {
	State string
	Error *struct{ Code, Message string }
	URLs  struct{ Self, Events string }
	// Of a job that has succeeded.
	Outputs []struct{ URL string }
}

// call sends a request; `body` may be nil. Errors of the gateway are problem documents (RFC 9457).
func call(method, url string, body any, headers map[string]string) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, url, content)
	if err != nil {
		return nil, err
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	if key := os.Getenv("FRAMEGRID_API_KEY"); key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	answer, err := http.DefaultClient.Do(request)
	if err == nil && answer.StatusCode >= 400 {
		defer answer.Body.Close()
		problem, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
		return nil, fmt.Errorf("%s: %s", answer.Status, problem)
	}
	return answer, err
}

func read(answer *http.Response, err error) (job, error) {
	var out job
	if err != nil {
		return out, err
	}
	defer answer.Body.Close()
	return out, json.NewDecoder(answer.Body).Decode(&out)
}

// follow prints what happens, until the job is over.
func follow(url string) error {
	events, err := call("GET", url, nil, nil)
	if err != nil {
		return err
	}
	defer events.Body.Close()
	lines := bufio.NewScanner(events.Body)
	lines.Buffer(nil, 1<<20) // previews are long lines
	for lines.Scan() {
		if name, found := strings.CutPrefix(lines.Text(), "event: "); found {
			fmt.Println(name)
		}
	}
	return lines.Err()
}

func run(prompt, path string) error {
	base := os.Getenv("FRAMEGRID_URL")
	if base == "" {
		base = "http://127.0.0.1:9935"
	}
	document := map[string]any{"pipeline": "text-to-image", "parameters": map[string]any{"prompt": prompt}}
	// The same key again is the same job: after a lost connection, simply run this again with it.
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	headers := map[string]string{"Content-Type": "application/json", "Idempotency-Key": fmt.Sprintf("%x", key)}
	submitted, err := read(call("POST", base+"/v1/jobs", document, headers))
	if err != nil {
		return err
	}
	if err := follow(submitted.URLs.Events); err != nil {
		return err
	}
	done, err := read(call("GET", submitted.URLs.Self, nil, nil))
	if err != nil {
		return err
	}
	if done.State != "succeeded" {
		return fmt.Errorf("%s: %+v", done.State, done.Error)
	}
	picture, err := call("GET", done.Outputs[0].URL, nil, nil)
	if err != nil {
		return err
	}
	defer picture.Body.Close()
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, picture.Body)
	return err
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, `usage: job "a red circle" circle.png`)
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
