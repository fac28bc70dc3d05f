"""What an operator may do: plain functions over the log, the store and the CRM. The API, the console and the command
line are skins over it; nothing here knows of HTTP."""
