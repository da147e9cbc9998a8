package actors_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// bareQuestion is a question over a bare channel, for comparison.
type bareQuestion struct {
	n     int
	reply chan int
}

// bareActor is a goroutine behind a bare channel that answers.
func bareActor(b *testing.B) chan<- bareQuestion {
	questions := make(chan bareQuestion, 64)
	var group sync.WaitGroup
	group.Go(func() {
		for q := range questions {
			if q.reply != nil {
				q.reply <- q.n
			}
		}
	})
	b.Cleanup(func() { close(questions); group.Wait() })
	return questions
}

// echo answers with the question's number.
type echo struct{}

func (echo) Start(context.Context, actors.Ref[question]) error { return nil }

func (echo) Handle(_ context.Context, q question) error {
	q.reply.Send(q.n)
	return nil
}

func echoActor(b *testing.B) actors.Ref[question] {
	a := actors.New(actors.Options{}, func() actors.Behavior[question] { return echo{} })
	perform(b, a)
	return a.Ref()
}

// beside measures two functions in turns, a thousand calls each, so that both meet the same noise. It reports the time
// per call that a tenth of the turns stayed below, and the ratio of the two.
func beside(b *testing.B, bare, kernel func()) {
	const calls = 1000
	var times [2][]float64
	for b.Loop() {
		for i, f := range []func(){bare, kernel} {
			began := time.Now()
			for range calls {
				f()
			}
			times[i] = append(times[i], float64(time.Since(began).Nanoseconds())/calls)
		}
	}
	var tenth [2]float64
	for i := range times {
		slices.Sort(times[i])
		tenth[i] = times[i][len(times[i])/10]
	}
	b.ReportMetric(0, "ns/op") // of both together, so of no interest
	b.ReportMetric(tenth[0], "bare-ns/call")
	b.ReportMetric(tenth[1], "kernel-ns/call")
	b.ReportMetric(tenth[1]/tenth[0], "ratio")
}

// BenchmarkAsk is a round trip: with Ask, beside a bare channel and a pooled reply channel, which know no crash and no
// stop. With a context that can end, the bare one selects on it as well.
func BenchmarkAsk(b *testing.B) {
	idle := sync.Pool{New: func() any { return make(chan int, 1) }}
	b.Run("background", func(b *testing.B) {
		questions, ref, ctx := bareActor(b), echoActor(b), context.Background()
		beside(b, func() {
			reply := idle.Get().(chan int)
			questions <- bareQuestion{1, reply}
			<-reply
			idle.Put(reply)
		}, func() {
			actors.Ask(ctx, ref, func(r actors.Reply[int]) question { return question{1, r} })
		})
	})
	b.Run("cancellable", func(b *testing.B) {
		questions, ref, ctx := bareActor(b), echoActor(b), b.Context()
		beside(b, func() {
			reply := idle.Get().(chan int)
			select {
			case questions <- bareQuestion{1, reply}:
			case <-ctx.Done():
			}
			select {
			case <-reply:
			case <-ctx.Done():
			}
			idle.Put(reply)
		}, func() {
			actors.Ask(ctx, ref, func(r actors.Reply[int]) question { return question{1, r} })
		})
	})
}

// BenchmarkTell is a message and its handling: with Tell, beside a bare channel with a loop behind it.
func BenchmarkTell(b *testing.B) {
	questions, ref, ctx := bareActor(b), echoActor(b), b.Context()
	beside(b,
		func() { questions <- bareQuestion{n: 1} },
		func() { ref.Tell(ctx, question{n: 1}) })
}

// BenchmarkLife is a crash and the next life.
func BenchmarkLife(b *testing.B) {
	a := handling(actors.Options{}, func(_ context.Context, q question) error {
		q.reply.Send(q.n)
		panic("next")
	})
	perform(b, a)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ask(context.Background(), a.Ref(), 1); err != nil {
			b.Fatal(err)
		}
	}
}
