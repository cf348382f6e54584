// What the flows have in common: the test tells the settings, plays the person, and hears what was seen. A line of JSON each.
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const hear = async () => JSON.parse((await lines.next()).value)
const say = (message) => process.stdout.write(JSON.stringify(message) + '\n')

// Issuer, client and flow.
export const settings = await hear()

// Sends the person's browser there. Gives the address that leads it back to the app.
export const visit = async (url) => {
  say({ visit: url.href })
  return new URL(await hear())
}

// Credentials that came by: none of them may be found in clear at the server.
export const saw = (...secrets) => say({ saw: secrets.filter((secret) => secret !== undefined) })

// The client's registered key.
export const key = async () => ({
  kid: settings.key.kid,
  key: await crypto.subtle.importKey('jwk', settings.key, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']),
})

// Runs the flow that the test names. Whatever it throws ends the program with another code than 0.
export const play = async (flows) => {
  await flows[settings.flow]()
  say({ done: settings.flow })
  process.exit(0)
}
