// Command generate writes the Go code of log.proto: messages by protoc-gen-go,
// the Connect and gRPC service by protoc-gen-connect-go, both at the versions of
// this module. The compiler is protocompile, so protoc is not needed.
//
// Run it in the directory of log.proto: go generate. With -check nothing is
// written, and it fails if something would change.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const source = "log.proto"

func main() {
	log.SetFlags(0)
	check := flag.Bool("check", false, "write nothing; fail if a file is not what would be written")
	dir := flag.String("dir", "..", "directory of "+source)
	flag.Parse()
	files, err := generate(*dir)
	if err != nil {
		log.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(*dir, name)
		if have, err := os.ReadFile(path); *check && (err != nil || !bytes.Equal(have, content)) {
			log.Fatalf("%s is not what %s gives: run go generate (%v)", path, source, err)
		}
		if *check {
			continue
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// generate returns the files by name.
func generate(dir string) (map[string][]byte, error) {
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{dir}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(context.Background(), source)
	if err != nil {
		return nil, err
	}
	descriptor := protoutil.ProtoFromFileDescriptor(compiled[0])
	files := map[string][]byte{}
	for _, plugin := range []struct{ command, parameter string }{
		{"protoc-gen-go", "paths=source_relative"},
		{"protoc-gen-connect-go", "paths=source_relative,package_suffix"},
	} {
		if err := run(plugin.command, plugin.parameter, descriptor, files); err != nil {
			return nil, fmt.Errorf("%s: %w", plugin.command, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, source))
	if err != nil {
		return nil, err
	}
	files["source.go"] = fmt.Appendf(nil, sourceGo, sha256.Sum256(text))
	return files, nil
}

// sourceGo lets a test see, without a compiler, that log.proto was changed and
// the code was not generated again.
const sourceGo = `// Code generated from log.proto. DO NOT EDIT.

package logpb

// generatedFrom is the SHA-256 of the log.proto that the code was generated from.
const generatedFrom = "%x"
`

func run(command, parameter string, descriptor *descriptorpb.FileDescriptorProto, files map[string][]byte) error {
	request, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{source},
		Parameter:      proto.String(parameter),
		ProtoFile:      []*descriptorpb.FileDescriptorProto{descriptor},
	})
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "tool", command)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(request), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &response); err != nil {
		return err
	}
	if response.Error != nil {
		return fmt.Errorf("%s", response.GetError())
	}
	for _, f := range response.File {
		files[filepath.Base(f.GetName())] = []byte(f.GetContent())
	}
	return nil
}
