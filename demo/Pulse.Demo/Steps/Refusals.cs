using System.Net;

namespace Pulse.Demo;

sealed class Refusals(Surroundings surroundings)
{
    const int SignupsAnHour = 5;

    readonly SignupApi _api = new(surroundings);

    public async Task InvalidEmail(Observations step)
    {
        var answer = await _api.SignUp("nobody-at-nowhere", "Demo refused");
        step.Check(answer.Status == HttpStatusCode.BadRequest, $"POST with the email nobody-at-nowhere answers {(int)answer.Status}");
        step.Check(answer.ContentType == "application/problem+json", $"as {answer.ContentType}");
        step.Check(answer.Text("code") == "invalid_email" && answer.Text("type") == "urn:pulse:problem:invalid_email", $"with code {answer.Text("code")}: {answer.Body}");
    }

    public async Task SixthFromOneAddress(Observations step)
    {
        var address = SignupApi.SomeAddress();
        for (var count = 1; count <= SignupsAnHour; count++)
        {
            var accepted = await _api.SignUp(SignupApi.SomeEmail(), $"Demo crowd {count}", from: address);
            if (accepted.Status != HttpStatusCode.Accepted)
                throw new DoesNotHoldException($"signup {count} from {address} answers {(int)accepted.Status} {accepted.Body}");
        }

        step.Check(true, $"{SignupsAnHour} signups from {address} are accepted");
        var refused = await _api.SignUp(SignupApi.SomeEmail(), "Demo crowd 6", from: address);
        step.Check(refused.Status == HttpStatusCode.TooManyRequests, $"the sixth answers {(int)refused.Status} {refused.Body}");
        step.Check(refused.RetryAfter is not null, $"with Retry-After {refused.RetryAfter}");
        var other = await _api.SignUp(SignupApi.SomeEmail(), "Demo elsewhere");
        step.Check(other.Status == HttpStatusCode.Accepted, $"from another address it answers {(int)other.Status}");
    }
}
