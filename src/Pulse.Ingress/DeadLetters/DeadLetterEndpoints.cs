using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;
using Pulse.Contracts.DeadLetters;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Ingress.Http;
using Pulse.Ingress.Keys;
using Pulse.Ingress.Operations;

namespace Pulse.Ingress.DeadLetters;

/// <summary>What failed, and what an operator does about it.</summary>
static class DeadLetterEndpoints
{
    const string Path = "/api/admin/dead-letters";

    public static void AddDeadLetters(this IServiceCollection services)
    {
        foreach (var kind in DeadLetterCommands.Kinds)
            services.AddSingleton(kind);
        services.AddSingleton<DeadLetterCommands>();
        services.AddSingleton(new ConsoleSection(20, "Dead letters", DeadLetterPages.Path, Scopes.DeadLettersRead));
        services.AddSingleton(new ConsoleSection(30, "Replays", ReplayPages.Path, Scopes.DeadLettersRead));
        services.ConfigureHttpJsonOptions(json => json.SerializerOptions.TypeInfoResolverChain.Insert(0, DeadLetterJson.Default));
    }

    public static void MapDeadLetters(this IEndpointRouteBuilder routes)
    {
        routes.MapGet(Path, ListAsync).RequireScope(Scopes.DeadLettersRead).DescribeLetters();
        routes.MapGet(Path + "/groups", GroupsAsync).RequireScope(Scopes.DeadLettersRead).DescribeGroups();
        routes.MapGet(Path + "/{dead_letter_id}", FindAsync).RequireScope(Scopes.DeadLettersRead).DescribeLetter();
        routes.MapPost(Path + "/{dead_letter_id}/reveal", RevealAsync).RequireScope(Scopes.DeadLettersReveal).DescribeReveal();
        routes.MapPost(Path + "/{dead_letter_id}/edit", EditAsync).RequireScope(Scopes.DeadLettersWrite).DescribeEdit();
        routes.MapPost(Path + "/discard", DiscardAsync).RequireScope(Scopes.DeadLettersWrite)
            .DescribeSelection("discardDeadLetters", "Gives letters up: nothing replays them, unless they are restored.");
        routes.MapPost(Path + "/restore", RestoreAsync).RequireScope(Scopes.DeadLettersWrite)
            .DescribeSelection("restoreDeadLetters", "Takes discarded and quarantined letters back: they are parked again.");
        routes.MapReplays();
        DeadLetterPages.Map(routes);
        LetterPages.Map(routes);
        SelectionPages.Map(routes);
        ReplayPages.Map(routes);
    }

    static async Task<Results<Ok<Page<DeadLetterItem>>, ProblemHttpResult>> ListAsync(HttpContext context, NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        if (DeadLetterRules.Letters(context.Request.Query, out var errors) is not { } query)
            return ListQuery.Invalid(errors).On(context);

        return TypedResults.Ok(await PageAsync(dataSource, query, cancellationToken));
    }

    /// <summary>A part of the list.</summary>
    public static async Task<Page<DeadLetterItem>> PageAsync(NpgsqlDataSource dataSource, LetterQuery query, CancellationToken cancellationToken) =>
        Page<DeadLetterItem>.Of(
            await DeadLetterTable.ListAsync(dataSource, query.Filter, query.After, query.Limit, cancellationToken), query.Limit,
            letter => letter, letter => new LetterPlace(letter.LastFailedAt, letter.DeadLetterId).ToCursor("l"));

    static async Task<Results<Ok<Page<DeadLetterGroup>>, ProblemHttpResult>> GroupsAsync(HttpContext context, NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        if (DeadLetterRules.Groups(context.Request.Query, out var errors) is not { } query)
            return ListQuery.Invalid(errors).On(context);

        return TypedResults.Ok(await GroupPageAsync(dataSource, query, cancellationToken));
    }

    public static async Task<Page<DeadLetterGroup>> GroupPageAsync(NpgsqlDataSource dataSource, GroupQuery query, CancellationToken cancellationToken) =>
        Page<DeadLetterGroup>.Of(
            await DeadLetterTable.GroupsAsync(dataSource, query, cancellationToken), query.Limit,
            group => group, group => new GroupPlace(group.LastFailedAt, group.Fingerprint).ToCursor());

    static async Task<Results<Ok<DeadLetterDetail>, ProblemHttpResult>> FindAsync(
        HttpContext context, string dead_letter_id, NpgsqlDataSource dataSource, CancellationToken cancellationToken) =>
        Id(dead_letter_id) is { } id && await DeadLetterTable.FindAsync(dataSource, id, cancellationToken) is { } letter
            ? TypedResults.Ok(letter)
            : Problem.NotFound().On(context);

    static async Task<Results<Ok<RevealedDeadLetter>, Accepted<OperationStatus>, ProblemHttpResult>> RevealAsync(
        HttpContext context, string dead_letter_id, NpgsqlDataSource dataSource, DeadLetterCommands commands, CancellationToken cancellationToken)
    {
        // Looked at here so that a mistyped id does not wait for a worker.
        if (Id(dead_letter_id) is not { } id || await DeadLetterTable.FindAsync(dataSource, id, cancellationToken) is null)
            return Problem.NotFound().On(context);
        var (body, unreadable) = await CommandBody.OptionalAsync(context);
        using (body)
        {
            if (unreadable is not null)
                return unreadable.On(context);
            if (!DeadLetterRules.IsNothing(body?.RootElement, out var errors))
                return ListQuery.Invalid(errors).On(context);
        }

        var caller = Caller.Of(context);
        if (OperationKey.Read(context.Request.Headers[OperationKey.Header], caller, out var keyedId) is { } unkeyed)
            return unkeyed.On(context);

        var (outcome, letter) = await commands.RevealAsync(id, caller, keyedId, cancellationToken);
        if (letter is not null)
            return TypedResults.Ok(letter);
        if (outcome is OperationOutcome.Completed({ Status: "succeeded" }))
        {
            return new Problem(StatusCodes.Status409Conflict, "reveal_expired", "This look is over",
                "It was audited too long ago, or the letter has gone since. Ask again, with another Idempotency-Key: each look is audited.").On(context);
        }

        return outcome.Answer<RevealResult, RevealedDeadLetter>(context, DeadLetterJson.Default.RevealResult, _ => throw new InvalidOperationException("It was answered above."));
    }

    static async Task<Results<Ok<EditResult>, Accepted<OperationStatus>, ProblemHttpResult>> EditAsync(
        HttpContext context, string dead_letter_id, NpgsqlDataSource dataSource, DeadLetterCommands commands, CancellationToken cancellationToken)
    {
        // The answer says where the edit differs: who may not see the message could try values until they are right.
        if (!Caller.Of(context).Scopes.Contains(Scopes.DeadLettersReveal))
            return KeyGate.InsufficientScope(context, Scopes.DeadLettersReveal).On(context);
        if (Id(dead_letter_id) is not { } id || await DeadLetterTable.FindAsync(dataSource, id, cancellationToken) is null)
            return Problem.NotFound().On(context);

        return await CommandBody.SubmitAsync(
            context, DeadLetterRules.Edit, (edit, caller, keyedId) => commands.EditAsync(id, edit, caller, keyedId, cancellationToken), DeadLetterJson.Default.EditResult, ReplayMasking.Of);
    }

    static Task<Results<Ok<SelectionResult>, Accepted<OperationStatus>, ProblemHttpResult>> DiscardAsync(
        HttpContext context, DeadLetterCommands commands, CancellationToken cancellationToken) => CommandBody.SubmitAsync(
            context, DeadLetterRules.Selection, (selection, caller, keyedId) => commands.DiscardAsync(selection, caller, keyedId, cancellationToken),
            DeadLetterJson.Default.SelectionResult, result => result);

    static Task<Results<Ok<SelectionResult>, Accepted<OperationStatus>, ProblemHttpResult>> RestoreAsync(
        HttpContext context, DeadLetterCommands commands, CancellationToken cancellationToken) => CommandBody.SubmitAsync(
            context, DeadLetterRules.Selection, (selection, caller, keyedId) => commands.RestoreAsync(selection, caller, keyedId, cancellationToken),
            DeadLetterJson.Default.SelectionResult, result => result);

    /// <summary>An id of a path.</summary>
    public static Guid? Id(string text) => Guid.TryParseExact(text, "D", out var id) ? id : null;
}
