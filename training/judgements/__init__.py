"""What people say about answers: decisions about suspects, and users' votes."""
