# One file, three images: docker build --target server | tally | bank .
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /repo
# Everything that decides a restore, before the sources: a change of code alone then finds the packages in the cache.
COPY global.json Directory.Build.props Directory.Packages.props BannedSymbols.txt .editorconfig ./
COPY src/Grants.Domain/Grants.Domain.csproj src/Grants.Domain/
COPY src/Grants.Projections/Grants.Projections.csproj src/Grants.Projections/
COPY src/Grants.Api/Grants.Api.csproj src/Grants.Api/
COPY samples/TallyBudget/TallyBudget.csproj samples/TallyBudget/
COPY samples/DemoBank/DemoBank.csproj samples/DemoBank/
RUN for project in src/Grants.Api samples/TallyBudget samples/DemoBank; do dotnet restore "$project" || exit 1; done
COPY src src
COPY samples samples

FROM build AS build-server
RUN dotnet publish src/Grants.Api --no-restore --configuration Release --output /app
FROM build AS build-tally
RUN dotnet publish samples/TallyBudget --no-restore --configuration Release --output /app
FROM build AS build-bank
RUN dotnet publish samples/DemoBank --no-restore --configuration Release --output /app

FROM mcr.microsoft.com/dotnet/aspnet:10.0 AS base
WORKDIR /app
# What health checks call.
RUN apt-get update && apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*

FROM base AS tally
COPY --from=build-tally /app .
USER $APP_UID
EXPOSE 5200
ENTRYPOINT ["dotnet", "TallyBudget.dll", "--urls", "http://+:5200"]

FROM base AS bank
COPY --from=build-bank /app .
USER $APP_UID
EXPOSE 5300
ENTRYPOINT ["dotnet", "DemoBank.dll", "--urls", "http://+:5300"]

# Last, so that it is what a build without --target makes.
FROM base AS server
COPY --from=build-server /app .
COPY samples/grants.json samples/grants.json
# Key-encryption key and client secrets. The volume takes over this owner; every image runs as the same user.
RUN install -d -o $APP_UID -m 0700 /data
USER $APP_UID
ENV Grants__DataFolder=/data
VOLUME /data
EXPOSE 5100
ENTRYPOINT ["dotnet", "grants.dll", "--urls", "http://+:5100"]
