package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mavenInstall copies artifacts ("group:artifact:version") and all they need at run time into dir. The registry and its
// credentials, if any, come from the machine's own Maven settings.
func mavenInstall(ctx context.Context, dir string, artifacts ...string) error {
	if _, err := need("mvn", "Kafka comes by Maven; install the packages maven and default-jdk-headless"); err != nil {
		return err
	}
	pom, err := mavenPom(artifacts)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(file, []byte(pom), 0o644); err != nil {
		return err
	}
	err = run(ctx, dir, nil, "mvn", "--quiet", "--batch-mode", "--file", file, "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(dir, "libs"))
	if err != nil {
		return fmt.Errorf("download %v by Maven: %w", artifacts, err)
	}
	return nil
}

func mavenPom(artifacts []string) (string, error) {
	var b strings.Builder
	b.WriteString(`<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>` +
		`<groupId>testenv</groupId><artifactId>testenv</artifactId><version>1</version><dependencies>`)
	for _, a := range artifacts {
		part := strings.Split(a, ":")
		if len(part) != 3 {
			return "", fmt.Errorf("artifact %q is not group:artifact:version", a)
		}
		fmt.Fprintf(&b, "<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>", part[0], part[1], part[2])
	}
	b.WriteString("</dependencies></project>\n")
	return b.String(), nil
}
