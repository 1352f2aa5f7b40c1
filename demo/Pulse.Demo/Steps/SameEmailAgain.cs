using System.Net;

namespace Pulse.Demo;

/// <summary>Somebody signs up with a customer's email: told nothing, and nothing happens to the customer.</summary>
sealed class SameEmailAgain(Surroundings surroundings, FirstSignup first)
{
    readonly SignupApi _api = new(surroundings);

    public async Task ChangesNothing(Observations step)
    {
        var before = await TenantRows.Snapshot(surroundings.Postgres, first.OrgId);
        var otherName = $"Other {Guid.NewGuid():n}"[..20];

        var answer = await _api.SignUp(first.Email.ToUpperInvariant(), otherName, "another password altogether");
        step.Check(answer.Status == HttpStatusCode.Accepted, $"POST with {first.Email.ToUpperInvariant()} and {otherName} answers {(int)answer.Status} {answer.Body}");
        step.Check(answer.Shape == first.Answer!.Shape && answer.Text("status") == first.Answer.Text("status") && answer.RetryAfter == first.Answer.RetryAfter,
            "an answer of the same shape as for the unknown email");

        var (seen, last) = await _api.Follow(answer.SignupId, "existing", TimeSpan.FromSeconds(30));
        step.Check(last.Text("org_id") is null, $"its status is {string.Join(" → ", seen)}, without an organization: {last.Body}");

        var after = await TenantRows.Snapshot(surroundings.Postgres, first.OrgId);
        step.Check(before.SequenceEqual(after), $"the {after.Count} rows of the tenant are what they were, byte for byte");
        step.Check((await TenantRows.Count(surroundings.Postgres, otherName)).OrganizationsOfName == 0, $"there is no organization {otherName}");
    }
}
