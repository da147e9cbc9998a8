// Package container runs PostgreSQL in Docker containers that tests kill, stop, pause and cut off.
//
// The image is what SUPERVISED_POSTGRES_IMAGE names. Without that it is the official one, from the engine or from its
// registry; where no registry can be reached, an image is built from the PostgreSQL that is installed on this machine.
// Images are kept, as pulled ones are; containers are removed, also those of test runs that were killed.
//
// Where there is no Docker engine, tests that use this package are skipped, or fail if SUPERVISED_REQUIRE_DOCKER=1.
// The engine must run on this machine: the tests talk to the containers by 127.0.0.1.
package container
