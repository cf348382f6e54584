namespace Grants.Api.Database;

/// <summary>This machine lacks the PostgreSQL programs that a private database needs. The message names the three ways out.</summary>
public sealed class PostgresMissingException(string finding) : Exception($"""
    {finding}
    Three ways out:
      1. Install PostgreSQL: "apt-get install postgresql" on Debian and Ubuntu, "dnf install postgresql-server" on Fedora,
         "brew install postgresql" on macOS. PG_BIN may name the folder of initdb, pg_ctl and postgres.
      2. Run everything in containers: "docker compose up".
      3. Use a PostgreSQL that runs elsewhere: set ConnectionStrings__Grants to its connection string.
    """);
