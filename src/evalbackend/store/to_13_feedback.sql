-- Nobody asks for feedback by its trace, and every score wrote to a random page of this index.
DROP INDEX feedback_by_trace;
