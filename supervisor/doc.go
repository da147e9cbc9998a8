// Package supervisor keeps services running: it starts them in order, restarts those that fail, stops them in reverse
// order, tells what it does, and ends when it can do no more. It is a tree on top of suture: whatever has a
// Serve(context.Context) error method can be a child of it, an actor of package actors first of all.
//
// # A tree
//
// A [Tree] is made of [Group]s, a group of [Child]ren, and a group can be a child of another one by [Group.Child]:
//
//	tree, err := supervisor.New(supervisor.Config{Logger: &log},
//		supervisor.Group{Name: "data", Children: []supervisor.Child{store}},
//		supervisor.Group{Name: "edge", Strategy: supervisor.RestForOne, Children: []supervisor.Child{cache, server}},
//	)
//	err = tree.Start(ctx) // everything is ready
//	...
//	err = tree.Stop(ctx)  // the server first, the store last
//
// Every child and group has a path, like root/edge/server, which names it in the log, in errors, and for [Tree.Restart].
//
// A child is given as a factory, Child.New, which is called for each life: a life that failed may have left anything
// behind. A service that can be served again, such as an actor, is simply returned each time.
//
// # Start and stop
//
// Children start one after the other, each when the one before is ready: when its Ready has returned nil, or, without
// one, when an actor has started, and any other service is served. Groups do the same. What starts later may rely on what started before, so the stop goes
// the other way round, one by one, each within its StopTimeout. What does not stop in time is reported in a [StopError]
// and left behind; Go cannot end it.
//
// # Failures
//
// A life fails when Serve returns anything while nobody stopped it, nil included, when New or Ready fail, and when any of
// them panics or calls runtime.Goexit; that is reported as an *actors.PanicError with its stack. Then
//
//   - the child's [Restart] policy tells the delay until the next life. It doubles from failure to failure, is shortened
//     a little by chance, and begins anew when the child was healthy for a while. Each child has a failure domain of its
//     own, so one that crashes in a storm never delays another one's restart;
//   - the group's [Strategy] tells who else is restarted;
//   - a child that fails too often escalates: its group is stopped and started once more as a whole. If that does not
//     help, the tree gives up: it stops everything, and Err tells who failed and why, in a [GaveUpError]. It is never
//     half dead and looking well.
//
// Two errors of suture have a meaning. A service that returns suture.ErrDoNotRestart is done for good: that is no
// failure, it counts as ready, and it runs again only if its group is restarted or somebody asks for it. One that
// returns suture.ErrTerminateSupervisorTree makes the tree give up at once.
//
// A service that does not stop cannot be restarted: a second life beside the first could only do harm. When that would
// be needed, for its group's strategy, after its Ready refused it, or on request, the tree gives up.
//
// # What suture does, and what it does not
//
// Each group has a suture.Supervisor, and its children are that one's services: suture calls Serve, and again when it has
// failed, whatever became of the life before. Suture's own answer to failures, a pause of the whole supervisor after five
// of them, for ever and without growing, never comes into play: the delay before a life belongs to its child, and so does
// the time to stop, since a child is stopped alone and suture stops all at once. A child that was stopped is a new service
// when it is started again, and so is one whose failure its group has to act on.
//
// # Looking at it
//
// [Tree.Snapshot] tells at any time what everything does: state, restarts, last error and stack, time of the next
// restart, mailbox of an actor. [Tree.Events] tells what happens, as the Logger does. Neither can hold the tree up.
//
// # Trees in trees
//
// A [Tree] is a suture.Service. Mount it as a Child whose New builds it, with a StopTimeout of at least
// [Tree.StopTimeout], and as a rule with Restart.Never, so that a tree which gives up ends the one around it with the
// cause. Its snapshot becomes part of the other's, and its paths lead into it. In a plain suture.Supervisor it ends that.
package supervisor
