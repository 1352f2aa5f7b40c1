using Pulse.Demo;

// The journey of a signup, seen from outside: over HTTP, on the broker and in the database. `./pulse demo` starts it.
using var surroundings = Surroundings.FromEnvironment();
var journey = new Journey(Console.Out, colour: !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("NO_COLOR") is null or "");

var ready = new Readiness(surroundings);
var first = new FirstSignup(surroundings);
var again = new SameEmailAgain(surroundings, first);
var refusals = new Refusals(surroundings);
var outage = new BrokerOutage(surroundings);

await journey.Step("Both processes are ready", ready.BothProcessesAnswer);
await journey.Step("A stranger signs up", first.IsAccepted);
await journey.Step("The signup travels over RabbitMQ", first.IsOnTheBroker);
await journey.Step("A saga drives it to its end", first.IsProvisioned);
await journey.Step("The tenant is in Postgres", first.HasItsRows);
await journey.Step("The metrics moved", first.MovedTheMetrics);
await journey.Step("The same email signs up again: nothing of the tenant changes", again.ChangesNothing);
await journey.Step("An invalid email is refused", refusals.InvalidEmail);
await journey.Step("The sixth signup from one address is refused", refusals.SixthFromOneAddress);
await journey.Step("RabbitMQ is killed: a signup is accepted all the same", outage.SignupIsAccepted);
await journey.Step("RabbitMQ is back: the signup is provisioned", outage.SignupIsProvisionedAfterwards);

return journey.End();
