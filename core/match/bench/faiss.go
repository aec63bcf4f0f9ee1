package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/match"
)

// flatSource is the other side: a flat index of faiss that answers commands of a line each.
const flatSource = `
#include <faiss/IndexFlat.h>
#include <omp.h>
#include <chrono>
#include <cstdio>
#include <vector>
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

static std::vector<float> read(const char *path, size_t n) {
	std::vector<float> v(n);
	FILE *f = fopen(path, "rb");
	if (!f || fread(v.data(), 4, n, f) != n) { perror(path); exit(1); }
	fclose(f);
	return v;
}

int main(int argc, char **argv) {
	size_t dim = atol(argv[2]), count = atol(argv[3]), queries = atol(argv[5]);
	faiss::IndexFlat index(dim, argv[6][0] == 'c' ? faiss::METRIC_INNER_PRODUCT : faiss::METRIC_L2);
	{
		std::vector<float> v = read(argv[1], dim * count);
		index.add(count, v.data());
	}
	std::vector<float> q = read(argv[4], dim * queries);
	printf("ready\n");
	fflush(stdout);
	int n, k, threads, first, repeat;
	while (scanf("%d %d %d %d %d", &n, &k, &threads, &first, &repeat) == 5) {
		omp_set_num_threads(threads);
		if (openblas_set_num_threads) openblas_set_num_threads(threads);
		std::vector<float> d(size_t(n) * k);
		std::vector<faiss::Index::idx_t> id(size_t(n) * k);
		auto began = std::chrono::steady_clock::now();
		for (int i = 0; i < repeat; i++)
			index.search(n, q.data() + size_t((first + i * n) % queries) * dim, k, d.data(), id.data());
		long long took = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - began).count();
		printf("%lld\n", took);
		for (size_t i = 0; i < d.size(); i++) printf("%lld %.9g\n", (long long)id[i], d[i]);
		fflush(stdout);
	}
}
`

// flat is a running flat index.
type flat struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// compileFlat makes the program of flatSource.
func compileFlat(dir string) (string, error) {
	source, program := filepath.Join(dir, "flat.cpp"), filepath.Join(dir, "flat")
	if err := os.WriteFile(source, []byte(flatSource), 0o644); err != nil {
		return "", err
	}
	out, err := exec.Command("g++", "-O3", "-march=native", "-fopenmp", "-o", program, source, "-lfaiss", "-lblas", "-llapack").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cannot compile against faiss (apt-get install g++ libfaiss-dev libopenblas-dev): %w\n%s", err, out)
	}
	return program, nil
}

// startFlat fills an index from files of float32.
func startFlat(program string, s set, metric core.Metric) (*flat, error) {
	f := &flat{cmd: exec.Command(program, s.vectorsFile, fmt.Sprint(dim), fmt.Sprint(s.count), s.queriesFile, fmt.Sprint(len(s.queries)), string(metric))}
	f.cmd.Stderr = os.Stderr
	var err error
	if f.in, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	f.out = bufio.NewReader(out)
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := f.out.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "ready" {
		return nil, fmt.Errorf("faiss did not start: %q: %w", line, err)
	}
	return f, nil
}

// search has n queries answered, from first on, and again with the following ones. It gives
// the time of all and the answers of the last.
func (f *flat) search(n, threads, first, repeat int, metric core.Metric) (time.Duration, [][]match.Match, error) {
	if _, err := fmt.Fprintln(f.in, n, answers, threads, first, repeat); err != nil {
		return 0, nil, err
	}
	var took int64
	if _, err := fmt.Fscanln(f.out, &took); err != nil {
		return 0, nil, err
	}
	list := make([][]match.Match, n)
	for q := range list {
		for range answers {
			var m match.Match
			if _, err := fmt.Fscanln(f.out, &m.ID, &m.Distance); err != nil {
				return 0, nil, err
			}
			m.Distance = fromFlat(m.Distance, metric)
			list[q] = append(list[q], m)
		}
	}
	return time.Duration(took), list, nil
}

func (f *flat) close() error {
	f.in.Close()
	return f.cmd.Wait()
}
