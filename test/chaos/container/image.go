package container

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

const (
	// ImageVariable is the environment variable that names the image; it must understand what the official one does.
	ImageVariable = "SUPERVISED_POSTGRES_IMAGE"

	officialImage = "postgres:15"
	builtImage    = "supervised-postgres"

	trustEverybody = "POSTGRES_HOST_AUTH_METHOD=trust"

	// pullPatience bounds a pull of some 150 MB, or the wait for a registry that does not answer.
	pullPatience = 5 * time.Minute
)

//go:embed image.sh
var imageScript []byte

// imageChanges is what the built image says about itself.
var imageChanges = []string{
	`CMD ["postgres"]`,
	"VOLUME /data",             // a storage driver's copy of each file that is written is slow
	"LABEL " + hostLabel + "=", // what others run from this image is not ours to remove
}

// findImage returns the name of an image that the engine has, which it first makes sure of. The labels are for a
// container that this may take.
func findImage(ctx context.Context, docker *client.Client, labels map[string]string) (string, error) {
	if name := os.Getenv(ImageVariable); name != "" {
		// Whoever names an image wants that one.
		if ok, err := hasImage(ctx, docker, name); ok || err != nil {
			return name, err
		}
		return name, pull(ctx, docker, name)
	}
	built, errInstalled := nameOfBuilt()
	for _, name := range []string{officialImage, built} {
		if ok, err := hasImage(ctx, docker, name); ok || err != nil {
			return name, err
		}
	}
	errPull := pull(ctx, docker, officialImage)
	if errPull == nil {
		return officialImage, nil
	}
	if errInstalled != nil {
		return "", errors.Join(errPull, errInstalled)
	}
	if err := build(ctx, docker, built, labels); err != nil {
		return "", errors.Join(errPull, err)
	}
	return built, nil
}

func hasImage(ctx context.Context, docker *client.Client, name string) (bool, error) {
	if name == "" {
		return false, nil
	}
	_, err := docker.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func pull(ctx context.Context, docker *client.Client, name string) error {
	ctx, cancel := context.WithTimeout(ctx, pullPatience)
	defer cancel()
	progress, err := docker.ImagePull(ctx, name, client.ImagePullOptions{})
	if err == nil {
		err = progress.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("container: pull %s: %w", name, err)
	}
	return nil
}

// nameOfBuilt is the name of the image that build makes here and now: another PostgreSQL or another script, another
// image. It is empty if no PostgreSQL is installed.
func nameOfBuilt() (string, error) {
	bindir, err := postgres.Find()
	if err != nil {
		return "", err
	}
	version, err := exec.Command(bindir+"/postgres", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("container: %s/postgres --version: %w", bindir, err)
	}
	sum := sha256.New()
	fmt.Fprintln(sum, bindir, string(version), imageChanges)
	sum.Write(imageScript)
	return fmt.Sprintf("%s:%x", builtImage, sum.Sum(nil)[:6]), nil
}

// build makes the image from the PostgreSQL that is installed here.
func build(ctx context.Context, docker *client.Client, name string, labels map[string]string) error {
	bindir, err := postgres.Find()
	if err != nil {
		return err
	}
	// All of it before the engine hears of it: half a root folder would make an image, too.
	script := exec.CommandContext(ctx, "bash", "-s")
	script.Stdin = bytes.NewReader(imageScript)
	script.Env = append(os.Environ(), "PG_BINDIR="+bindir)
	var complaints strings.Builder
	script.Stderr = &complaints
	root, err := script.Output()
	if err != nil {
		return fmt.Errorf("container: image.sh: %w: %s", err, strings.TrimSpace(complaints.String()))
	}
	bare := name + "-bare"
	repository, tag, _ := strings.Cut(bare, ":")
	answer, err := docker.ImageImport(ctx, client.ImageImportSource{Source: bytes.NewReader(root), SourceName: "-"},
		repository, client.ImageImportOptions{Tag: tag, Changes: []string{"USER 999:999", `ENTRYPOINT ["/entrypoint"]`}})
	if err != nil {
		return fmt.Errorf("container: import %s: %w", bare, err)
	}
	_, err = io.Copy(io.Discard, answer) // the image is there when the answer ends
	if err := errors.Join(err, answer.Close()); err != nil {
		return fmt.Errorf("container: import %s: %w", bare, err)
	}
	err = initialise(ctx, docker, bare, name, labels)
	// The name only, if it went well: the content is part of the other image. Another process may be using it as we did.
	_, errRemove := docker.ImageRemove(context.WithoutCancel(ctx), bare, client.ImageRemoveOptions{})
	if errdefs.IsNotFound(errRemove) || errdefs.IsConflict(errRemove) {
		errRemove = nil
	}
	return errors.Join(err, errRemove)
}

// initialise makes an image whose data are made: containers of it start within a second instead of several.
func initialise(ctx context.Context, docker *client.Client, bare, name string, labels map[string]string) (err error) {
	made, err := docker.ContainerCreate(ctx, client.ContainerCreateOptions{Config: &container.Config{
		Image: bare, Cmd: []string{"sleep", "0"}, Env: []string{trustEverybody}, Labels: labels,
	}})
	if err != nil {
		return fmt.Errorf("container: create of %s: %w", bare, err)
	}
	defer func() {
		err = errors.Join(err, remove(context.WithoutCancel(ctx), docker, made.ID, false))
	}()
	end := docker.ContainerWait(ctx, made.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := docker.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("container: start of %s: %w", bare, err)
	}
	select {
	case exit := <-end.Result:
		if exit.StatusCode != 0 {
			return fmt.Errorf("container: making the data in %s: exit status %d", bare, exit.StatusCode)
		}
	case err := <-end.Error:
		return fmt.Errorf("container: making the data in %s: %w", bare, err)
	}
	_, err = docker.ContainerCommit(ctx, made.ID, client.ContainerCommitOptions{Reference: name, Changes: imageChanges})
	if err != nil {
		return fmt.Errorf("container: commit %s: %w", name, err)
	}
	return nil
}
