using Pulse.Demo;

// The journey of a signup and of the tenant that it becomes, seen from outside: over HTTP, on the broker, in the database and through the library. `./pulse demo` starts it.
using var surroundings = Surroundings.FromEnvironment();
var journey = new Journey(Console.Out, colour: !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("NO_COLOR") is null or "");

var ready = new Readiness(surroundings);
var first = new FirstSignup(surroundings);
var again = new SameEmailAgain(surroundings, first);
var refusals = new Refusals(surroundings);
var outage = new BrokerOutage(surroundings);
await using var subscription = new Subscription(surroundings, first);
var operators = new Operator(surroundings, first);
var letter = new DeadLetter(surroundings, first);
var end = new EndOfLife(surroundings, first);

await journey.Step("Both processes are ready", ready.BothProcessesAnswer);
await journey.Step("A stranger signs up", first.IsAccepted);
await journey.Step("The signup travels over RabbitMQ", first.IsOnTheBroker);
await journey.Step("A saga drives it to its end", first.IsProvisioned);
await journey.Step("The tenant is in Postgres", first.HasItsRows);
await journey.Step("The metrics moved", first.MovedTheMetrics);
await journey.Step("The same email signs up again: nothing of the tenant changes", again.ChangesNothing);
await journey.Step("An invalid email is refused", refusals.InvalidEmail);
await journey.Step("The sixth signup from one address is refused", refusals.SixthFromOneAddress);
await journey.Step("A service asks what the tenant may do", subscription.IsOnTrial);
await journey.Step("Checkout links the tenant to Stripe, and its subscription begins", subscription.Begins);
await journey.Step("A payment fails: grace", subscription.FailsToPay);
await journey.Step("An operator overrides the state, and takes it back", operators.Overrides);
await journey.Step("An operator suspends the tenant, and lifts it", operators.SuspendsAndUnsuspends);
await journey.Step("Grace ends, by the clock alone", subscription.GraceEnds);
await journey.Step("The invoice is paid", subscription.Pays);
await journey.Step("The subscription is cancelled", subscription.Ends);
// The plans file of a container is not the demo's to mend.
if (surroundings.ComposeProject is null or "")
{
    await journey.Step("The tenant buys what no plan has: a dead letter", letter.IsFound);
    await journey.Step("The plans file is mended; a replay is planned and previewed", letter.IsMended);
    await journey.Step("The dead letter is replayed", letter.IsReplayed);
}

await journey.Step("An operator deletes the tenant, and restores it", end.IsDeletedAndRestored);
await journey.Step("Deleted again, and under legal hold: its retention ends, and nothing happens", end.IsHeld);
await journey.Step("The hold is released: it is purged, with a certificate", end.IsPurged);
await journey.Step("RabbitMQ is killed: a signup is accepted all the same", outage.SignupIsAccepted);
await journey.Step("RabbitMQ is back: the signup is provisioned", outage.SignupIsProvisionedAfterwards);

return journey.End();
