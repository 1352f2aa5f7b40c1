using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Pulse.StripeDouble;

namespace Pulse.Tests.StripeDouble;

/// <summary>A plain client of Stripe's API.</summary>
sealed class StripeClient(StripeServer stripe) : IDisposable
{
    public HttpClient Http { get; } = new()
    {
        BaseAddress = stripe.Url,
        DefaultRequestHeaders = { Authorization = new AuthenticationHeaderValue("Bearer", stripe.Options.ApiKey) },
    };

    public async Task<JsonNode> GetAsync(string path) => JsonNode.Parse(await Http.GetStringAsync(path))!;

    public async Task<HttpResponseMessage> PostAsync(string path, string? key, params (string Name, string Value)[] form)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new FormUrlEncodedContent(form.Select(field => KeyValuePair.Create(field.Name, field.Value))) };
        if (key is not null)
            request.Headers.Add("Idempotency-Key", key);
        return await Http.SendAsync(request);
    }

    /// <summary>Every id of a list, page by page, in the list's order.</summary>
    public async Task<List<string>> AllAsync(string list, int limit, bool backwards = false, string? from = null)
    {
        var ids = new List<string>();
        var cursor = from;
        while (true)
        {
            var page = await GetAsync($"{list}{(list.Contains('?', StringComparison.Ordinal) ? '&' : '?')}limit={limit}"
                + (cursor is null ? "" : $"&{(backwards ? "ending_before" : "starting_after")}={cursor}"));
            var found = page["data"]!.AsArray().Select(item => (string)item!["id"]!).ToList();
            Assert.True(found.Count <= limit);
            if (backwards)
                ids.InsertRange(0, found);
            else
                ids.AddRange(found);
            if (!(bool)page["has_more"]!)
                return ids;
            cursor = backwards ? found[0] : found[^1];
        }
    }

    public void Dispose() => Http.Dispose();
}
