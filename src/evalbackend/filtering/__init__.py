"""The service's filter language: text -> tree (`syntax`) -> SQL with parameters (`grammar`), for runs (`runs`)."""
