using System.Collections.Concurrent;
using System.Net;
using Pulse.Testing;

namespace Pulse.EndToEnd.Processes;

/// <summary>Many clients at once, each with an email and an Idempotency-Key of its own, who repeat themselves until they have their answer.</summary>
sealed class Crowd(RunningPulse pulse)
{
    readonly ConcurrentDictionary<string, Guid> _accepted = [];
    readonly ConcurrentBag<string> _emails = [];
    readonly ConcurrentBag<string> _surprises = [];

    /// <summary>How many have their answer.</summary>
    public int Answered => _accepted.Count;

    public Guid[] Signups => [.. _accepted.Values];

    public string[] Emails => [.. _emails];

    /// <summary>Answers that no client should have seen: neither accepted, nor "not now".</summary>
    public IReadOnlyCollection<string> Surprises => _surprises;

    /// <summary>Lets so many sign up, 32 at a time.</summary>
    public Task SignUpAsync(int count) => Parallel.ForEachAsync(
        Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = 32 }, async (_, _) => await SignUpAsync());

    /// <summary>Waits until so many have their answer.</summary>
    public Task AnsweredAsync(int count) => Eventually.Until(() => Answered >= count, TimeSpan.FromSeconds(60), $"{count} signups were accepted");

    async Task SignUpAsync()
    {
        var (signup, client, key) = (Some.Signup, Some.Client, Some.Key);
        _emails.Add(signup.Email!);
        await Eventually.Until(
            async () =>
            {
                try
                {
                    using var answer = await pulse.SignupAsync(signup, client, key);
                    if (answer.StatusCode == HttpStatusCode.Accepted)
                        _accepted[key] = await RunningPulse.SignupIdAsync(answer);
                    else if (answer.StatusCode is not (HttpStatusCode.ServiceUnavailable or HttpStatusCode.Conflict))
                        _surprises.Add($"{(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync()}");
                }
                catch (HttpRequestException)
                {
                    // Nobody there, or gone before the answer: once more, under the same key.
                }

                return _accepted.ContainsKey(key);
            },
            TimeSpan.FromSeconds(90), "a client got its answer");
    }

    /// <summary>Waits until each is a tenant, and looks for what is too many, lost or left over.</summary>
    public async Task AllAreTenantsAsync()
    {
        Assert.Empty(_surprises);
        Assert.Equal(Emails.Length, Signups.Distinct().Count());
        await Eventually.Until(async () => await pulse.CountAsync(Signups, "provisioned") == Signups.Length, TimeSpan.FromSeconds(90), "every signup became a tenant");

        Assert.Equal($"{Emails.Length} users, {Emails.Length} memberships, {Emails.Length} organizations, {Emails.Length} trials", await pulse.AskAsync<string>("""
            select format('%s users, %s memberships, %s organizations, %s trials',
                count(distinct u.user_id), count(*), count(distinct m.org_id), count(distinct b.org_id))
            from pulse.users u
            left join pulse.memberships m using (user_id)
            left join pulse.billing_states b using (org_id)
            where u.email_normalized = any($1)
            """, (object)Emails));
        await pulse.DrainedAsync();
        Assert.Empty(await pulse.DeadLettersAsync());
        // Nothing without an owner either.
        Assert.Equal(0L, await pulse.AskAsync<long>("select count(*) from pulse.organizations where not is_default and org_id not in (select org_id from pulse.memberships)"));
    }
}
