using System.Data.Common;
using JasperFx.Events;
using NpgsqlTypes;
using Weasel.Core;
using Weasel.Storage;

namespace Grants.Projections;

/// <summary>A statement of ours inside a Marten unit of work: it commits or fails with everything else in it.</summary>
public sealed class SqlOperation(string sql, params (Array Values, NpgsqlDbType Type)[] arrays) : Marten.Internal.Operations.IStorageOperation
{
    // A type that Marten knows; a plain class would stop the daemon's shard.
    public Type DocumentType => typeof(IEvent);

    public OperationRole Role() => OperationRole.Events;

    /// <summary>Each <c>?</c> in the text takes the next array.</summary>
    public void ConfigureCommand(Weasel.Postgresql.ICommandBuilder builder, IStorageSession session)
    {
        var parts = sql.Split('?');
        for (var i = 0; i < parts.Length; i++)
        {
            builder.Append(parts[i]);
            if (i < arrays.Length) builder.AppendParameter((object)arrays[i].Values, NpgsqlDbType.Array | arrays[i].Type);
        }
    }

    public Task PostprocessAsync(DbDataReader reader, IList<Exception> exceptions, CancellationToken token) => Task.CompletedTask;
}
