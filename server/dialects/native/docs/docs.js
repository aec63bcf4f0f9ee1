"use strict";
// The page shows an OpenAPI document and tries its operations. It keeps no secrets: what is typed
// stays in the page until it is closed.

const base = "/capstan/v1/";
const byId = (id) => document.getElementById(id);
let api = null;

// make builds an element; text is never read as HTML.
function make(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.filter((c) => c !== undefined && c !== null));
  return e;
}

// prose makes a paragraph of a description, with what is between backticks as code.
function prose(text) {
  return make("p", {}, ...text.split("`").map((part, i) => i % 2 ? make("code", {}, part) : part));
}

// authorization gives the headers that say who asks; a session goes by its cookie.
function authorization() {
  const secret = byId("secret").value;
  switch (byId("scheme").value) {
    case "bearer":
      return secret ? { Authorization: "Bearer " + secret } : {};
    case "basic": {
      const bytes = new TextEncoder().encode(byId("name").value + ":" + secret);
      return { Authorization: "Basic " + btoa(String.fromCharCode(...bytes)) };
    }
    default:
      return {};
  }
}

function schemeChanged() {
  const scheme = byId("scheme").value;
  byId("name-of").hidden = scheme === "bearer";
  byId("secret-of").firstChild.textContent = scheme === "bearer" ? "Token " : "Password ";
  byId("sign-in").textContent = scheme === "session" ? "Sign in" : "Check";
}

async function signIn(event) {
  event.preventDefault();
  const out = byId("signed");
  try {
    let answer;
    if (byId("scheme").value === "session") {
      answer = await fetch(base + "session", {
        method: "POST", headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ name: byId("name").value, password: byId("secret").value }),
      });
    } else {
      answer = await fetch(base + "session", { headers: authorization(), credentials: "omit" });
    }
    const body = await answer.json();
    out.textContent = answer.ok ? `${body.name} (${body.role})` : body.detail;
  } catch (e) {
    out.textContent = String(e);
  }
}

// resolve follows a reference within the document.
function resolve(schema) {
  let s = schema || {};
  for (let i = 0; i < 10 && s.$ref; i++) s = s.$ref.split("/").slice(1).reduce((v, k) => (v || {})[k], api) || {};
  return s;
}

// typeOf names the type of a schema in a few words.
function typeOf(schema) {
  const s = schema || {};
  if (s.$ref) return s.$ref.split("/").pop();
  if (s.anyOf) return s.anyOf.map(typeOf).join(" or ");
  const types = [].concat(s.type || "any");
  let text = types.map((t) => (t === "array" ? `list of ${typeOf(s.items)}` : t)).join(" or ");
  if (s.enum) text += ": " + s.enum.map(String).join(", ");
  if (s.minimum !== undefined || s.maximum !== undefined) text += ` ${s.minimum ?? ""}..${s.maximum ?? ""}`;
  return text;
}

// sample makes a value that a body may begin with: what is required.
function sample(schema, depth) {
  const s = resolve(schema);
  if (s.anyOf) return sample(s.anyOf[0], depth);
  if (s.enum) return s.enum[0];
  switch ([].concat(s.type || "object").find((t) => t !== "null")) {
    case "object": {
      const out = {};
      if (depth > 4) return out;
      for (const name of s.required || []) out[name] = sample((s.properties || {})[name], depth + 1);
      return out;
    }
    case "array": return depth > 4 ? [] : Array.from({ length: s.minItems || 0 }, () => sample(s.items, depth + 1));
    case "integer": case "number": return s.minimum ?? 0;
    case "boolean": return false;
    default: return "";
  }
}

// members is a table of what an object has.
function members(schema) {
  const s = resolve(schema);
  const of = s.type === "array" ? resolve(s.items) : s;
  const names = Object.keys(of.properties || {});
  if (!names.length) return make("p", {}, typeOf(schema));
  return make("table", {}, make("thead", {}, make("tr", {}, ...["Member", "Type", ""].map((h) => make("th", { scope: "col" }, h)))),
    make("tbody", {}, ...names.map((name) => make("tr", {},
      make("th", { scope: "row" }, make("code", {}, name), (of.required || []).includes(name) ? "" : " (optional)"),
      make("td", {}, typeOf(of.properties[name])), make("td", {}, of.properties[name].description || resolve(of.properties[name]).description || "")))));
}

// show writes an answer, which may be endless, as it comes.
async function show(answer, out, stop) {
  const type = answer.headers.get("Content-Type") || "";
  out.replaceChildren(make("p", {}, `${answer.status} ${answer.statusText} ${type}`));
  if (type.startsWith("image/")) {
    const url = URL.createObjectURL(await answer.blob());
    out.append(make("img", { src: url, alt: "The picture that was answered", onload: () => URL.revokeObjectURL(url) }));
    return;
  }
  const pre = make("pre", { tabindex: "0" });
  out.append(pre);
  if (!type.includes("json") && !type.startsWith("text/")) {
    pre.textContent = `${(await answer.blob()).size} bytes`;
    return;
  }
  if (!answer.body) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (stop.aborted) return;
    if (done) break;
    text = type.startsWith("text/event-stream") ? (value + text).slice(0, 20000) : (text + value).slice(-4e6);
    pre.textContent = text.slice(-20000);
  }
  try {
    pre.textContent = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    pre.textContent = text;
  }
}

// form lets one try an operation.
function form(method, path, op) {
  const out = make("div", { role: "status" });
  const fields = (op.parameters || []).map(resolve).map((p) => ({ p, input: make("input", { "aria-label": p.name, value: p.schema.default }) }));
  const content = (op.requestBody || {}).content;
  const type = content && Object.keys(content)[0];
  const json = type && type.includes("json");
  const body = !content ? null : json ? make("textarea", { rows: "8", "aria-label": "Body" }) : make("input", { type: "file", "aria-label": "Body" });
  if (json) body.value = JSON.stringify(sample(content[type].schema, 0), null, 2);
  let running = null;
  const stop = make("button", { type: "button", hidden: true, onclick: () => running && running.abort() }, "Stop");
  const send = async (event) => {
    event.preventDefault();
    if (running) running.abort();
    const mine = running = new AbortController();
    let url = path;
    const query = new URLSearchParams();
    for (const { p, input } of fields) {
      if (p.in === "path") url = url.replace(`{${p.name}}`, encodeURIComponent(input.value));
      else if (input.value !== "") query.set(p.name, input.value);
    }
    if ([...query].length) url += "?" + query;
    const headers = authorization();
    const options = { method: method.toUpperCase(), headers, signal: mine.signal };
    if (Object.keys(headers).length) options.credentials = "omit";
    if (body) {
      options.body = json ? body.value : body.files[0];
      headers["Content-Type"] = json ? type : (body.files[0] || {}).type || "application/octet-stream";
    }
    stop.hidden = false;
    try {
      await show(await fetch(url, options), out, mine.signal);
    } catch (e) {
      if (!mine.signal.aborted) out.replaceChildren(make("p", {}, String(e)));
    }
    if (running === mine) stop.hidden = true;
  };
  const rows = fields.map(({ p, input }) => make("tr", {},
    make("th", { scope: "row" }, make("code", {}, p.name), p.required ? "" : " (optional)"),
    make("td", {}, input), make("td", {}, typeOf(p.schema)), make("td", {}, p.description || "")));
  return make("form", { onsubmit: send },
    rows.length ? make("h3", {}, "Parameters") : null, rows.length ? make("table", {}, make("tbody", {}, ...rows)) : null,
    body ? make("h3", {}, `Body (${type})`) : null, body, make("p", {}, make("button", { type: "submit" }, "Try"), " ", stop), out);
}

function operation(method, path, op) {
  const details = make("details", { id: op.operationId },
    make("summary", {}, make("span", { class: "method" }, method.toUpperCase()), make("span", { class: "path" }, path), op.summary || ""));
  const fill = () => {
    if (!details.open || details.childElementCount > 1) return;
    if (op.description) details.append(prose(op.description));
    details.append(form(method, path, op));
    const body = Object.values((op.requestBody || {}).content || {})[0];
    if (body && body.schema) details.append(make("h3", {}, "What the body has"), members(body.schema));
    for (const [status, said] of Object.entries(op.responses || {})) {
      const answer = resolve(said);
      const content = Object.values(answer.content || {})[0];
      details.append(make("h3", {}, `${status}: ${answer.description}`));
      if (content && content.schema && status < "400") details.append(members(content.schema));
    }
  };
  details.addEventListener("toggle", fill);
  details.dataset.text = `${method} ${path} ${op.summary} ${op.operationId}`.toLowerCase();
  return details;
}

function find() {
  const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const d of document.querySelectorAll("main details")) d.hidden = !words.every((w) => d.dataset.text.includes(w));
  for (const s of document.querySelectorAll("main section")) s.hidden = !s.querySelector("details:not([hidden])");
}

async function load() {
  const main = byId("operations");
  try {
    const answer = await fetch(base + byId("document").value, { headers: authorization() });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail);
    api = body;
  } catch (e) {
    main.replaceChildren(make("p", { role: "alert" }, `The document cannot be read: ${e.message}`));
    return;
  }
  const groups = new Map((api.tags || []).map((t) => [t.name, { tag: t, list: [] }]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, op] of Object.entries(item)) {
      const name = (op.tags || ["other"])[0];
      if (!groups.has(name)) groups.set(name, { tag: { name }, list: [] });
      groups.get(name).list.push(operation(method, path, op));
    }
  }
  byId("tags").replaceChildren(...[...groups.keys()].map((name) => make("a", { href: "#tag-" + name }, name)));
  main.replaceChildren(...api.info.description.split("\n\n").map(prose), ...[...groups.values()].map(({ tag, list }) =>
    make("section", { "aria-labelledby": "tag-" + tag.name }, make("h2", { id: "tag-" + tag.name }, tag.name), prose(tag.description || ""), ...list)));
  find();
}

byId("who").addEventListener("submit", signIn);
byId("scheme").addEventListener("change", schemeChanged);
byId("document").addEventListener("change", load);
byId("find").addEventListener("input", find);
schemeChanged();
load();
