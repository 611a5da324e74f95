//! Events, incidents, learned state, challenges and settings in a database.
