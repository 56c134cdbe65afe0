// Asking the sidecar. Addresses are relative to the page, so a reverse proxy may put a prefix before both.

import { askForKey, askForPassword } from "./signin.js";

const KEY = "attune.api-key";
let password = ""; // of OpenSearch: an Authorization header, kept in memory only
let credentials = "omit"; // so that a 401 is answered here, and not by the browser's own dialog

/** An answer that is no success: what OpenSearch or the sidecar said, and its status (0: no answer). */
export class Refused extends Error {
  constructor(status, kind, reason) {
    super(reason);
    this.status = status;
    this.kind = kind;
  }
}

/** Asks one of the sidecar's own routes, with its API key where one is needed. */
export async function ask(route, body, signal) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const headers = { ...(key ? { "X-Api-Key": key } : {}), ...(password ? { Authorization: password } : {}) };
    const response = await send(route, body, headers, signal);
    const answer = await read(response);
    if (response.ok) return answer;
    const refused = refusal(response, answer);
    if (response.status !== 401) throw refused;
    if (!response.headers.has("X-Attune-From-OpenSearch")) {
      const given = await askForKey(Boolean(key));
      if (given === null) throw refused;
      sessionStorage.setItem(KEY, given);
    } else await signIn(refused);
  }
}

/** Asks OpenSearch through the sidecar, as any client of the shop's does. */
export async function openSearch(path, body, signal) {
  for (;;) {
    const response = await send(`../${path}`, body, password ? { Authorization: password } : {}, signal);
    const answer = await read(response);
    if (response.ok) return answer;
    const refused = refusal(response, answer);
    if (response.status !== 401) throw refused;
    await signIn(refused);
  }
}

async function signIn(refused) {
  const tried = password;
  const given = await askForPassword(Boolean(tried));
  if (given === null) throw refused;
  if (password !== tried) return; // another request has asked meanwhile
  const bytes = new TextEncoder().encode(`${given.user}:${given.password}`);
  password = `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

async function send(url, body, headers, signal) {
  const options = { headers, signal, credentials, redirect: "manual", cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers = { ...headers, "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  try {
    const response = await fetch(url, options);
    // A gateway that signs people in knows them by a cookie.
    if (response.type === "opaqueredirect" && credentials === "omit") {
      credentials = "same-origin";
      return send(url, body, headers, signal);
    }
    return response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "no_answer", error.message);
  }
}

async function read(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function refusal(response, answer) {
  const error = answer?.error;
  const cause = error?.root_cause?.[0] ?? error;
  const said = typeof cause === "string" ? cause : cause?.reason ?? (typeof answer === "string" ? answer : "");
  return new Refused(response.status, cause?.type ?? "", said.slice(0, 500));
}
